"""A page to search an index by photo, in the browser: `keras-hash app`."""
