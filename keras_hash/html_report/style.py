"""How the page looks: on paper white or dark, and as narrow as a phone."""

STYLE = """
:root { color-scheme: light dark; --ink: #1d2329; --soft: #5a6672;
  --paper: #fff; --panel: #f4f6f8; --line: #d5dbe1;
  --right: #1f8a3b; --wrong: #c8322a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec;
  --soft: #a3adb8; --paper: #14181c; --panel: #1e242a; --line: #39424b;
  --right: #4cc06a; --wrong: #f0675e; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 68rem; color: var(--ink);
  background: var(--paper); font: 16px/1.5 system-ui, sans-serif;
  overflow-wrap: anywhere; -webkit-text-size-adjust: 100%; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .4rem; padding-top: .8rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
p { margin: .4rem 0; max-width: 46rem; }
small, .soft, figcaption { color: var(--soft); font-size: .84rem; }
.facts { display: flex; flex-wrap: wrap; gap: .3rem 1.6rem; margin: .8rem 0; }
.facts div { min-width: 5rem; }
dt { color: var(--soft); font-size: .84rem; }
dd { margin: 0; font-weight: 600; }
.box { overflow-x: auto; width: fit-content; max-width: 100%;
  margin: .6rem 0; border: 1px solid var(--line);
  border-radius: 8px; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .35rem .6rem; text-align: right; vertical-align: top;
  border-top: 1px solid var(--line); font-variant-numeric: tabular-nums;
  overflow-wrap: normal; }
thead th { border-top: 0; background: var(--panel); }
th { font-weight: 600; }
tbody th, th.left { text-align: left; min-width: 7rem; position: sticky;
  left: 0; }
tbody th { font-weight: 400; background: var(--paper);
  overflow-wrap: anywhere; }
tbody th small { display: block; line-height: 1.3; }
tbody th b { display: block; }
td small { display: block; white-space: nowrap; }
.matrix th, .matrix td { padding: .3rem .4rem; min-width: 2.6rem; }
.matrix tbody th, .matrix thead th { max-width: 8rem; font-size: .84rem;
  overflow-wrap: break-word; }
.matrix tbody th, .matrix th.left { min-width: 4rem; }
.matrix td { background: rgba(70, 130, 220, var(--share, 0));
  text-align: center; }
.panels { display: flex; flex-wrap: wrap; gap: 1rem; }
.panels figure { flex: 1 1 17rem; max-width: 24rem; }
.panels figure, .map { margin: 0; padding: .5rem; background: var(--panel);
  border-radius: 8px; }
.panels img { display: block; width: 100%; height: auto; }
.map { max-width: 36rem; }
.map img { display: block; width: 100%; height: auto;
  margin: 0 auto; }
.legend { display: flex; flex-wrap: wrap; gap: .1rem 1rem; list-style: none;
  margin: .3rem 0; padding: 0; font-size: .9rem; }
.row { display: grid; grid-template-columns: 7.5rem 1fr; gap: .8rem;
  padding: .7rem 0; border-bottom: 1px solid var(--line); }
.hits { display: grid; gap: .4rem; grid-template-columns: repeat(10, 1fr); }
.row figure { margin: 0; min-width: 0; line-height: 1.25; }
.row figcaption { font-size: .75rem; margin-top: .2rem; }
.row b { color: var(--ink); }
.picture { display: grid; place-items: center; aspect-ratio: 1;
  background: var(--panel); border-radius: 5px; overflow: hidden;
  text-align: center; font-size: .75rem; color: var(--soft); }
.picture img { width: 100%; height: 100%; object-fit: contain; }
.picture img.tiny { image-rendering: pixelated; }
.right .picture { border: 3px solid var(--right); }
.wrong .picture { border: 3px dashed var(--wrong); }
.right b { color: var(--right); }
.wrong b { color: var(--wrong); }
@media (max-width: 46rem) {
  .row { grid-template-columns: 1fr; gap: .5rem; }
  .query { display: grid; grid-template-columns: 4.5rem 1fr; gap: .6rem;
    align-items: center; }
  .hits { grid-template-columns: repeat(5, 1fr); }
}
"""
