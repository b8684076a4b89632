"""Smaller graphs of SavedModels, with the same results."""

from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import saved_model_pb2

# Attributes of nodes inside functions that no loader reads.
_UNREAD = (
    "_class",
    "_gradient_op_type",
    "_has_manual_control_dependencies",
    "_output_shapes",
)


def slim(content):
    """Makes a serialised SavedModel graph smaller, with the same results.

    Drops what only writers and debuggers read: nodes and functions that nothing
    leads to (such as what would save the variables again), the second of two
    equal functions, the annotated output shapes (the loaders infer them) and
    the long scope names inside functions. A graph shrinks to less than
    half its size.
    """
    saved = saved_model_pb2.SavedModel.FromString(content)
    for meta in saved.meta_graphs:
        saver = meta.saver_def
        # Nothing restores by this name; it only has to exist.
        saver.save_tensor_name = saver.filename_tensor_name
        for function in meta.graph_def.library.function:
            _restore_directly(function)
            _shorten(function)
        _prune(meta)
        _merge(meta)
    return saved.SerializeToString(deterministic=True)


def _prune(meta):
    """Removes nodes and functions that no loader can reach."""
    graph, saver = meta.graph_def, meta.saver_def
    nodes = {node.name: node for node in graph.node}
    wanted = [saver.filename_tensor_name, saver.restore_op_name]
    for collection in meta.collection_def.values():
        wanted += collection.node_list.value
    for signature in meta.signature_def.values():
        for tensors in (signature.inputs, signature.outputs):
            wanted += [tensor.name for tensor in tensors.values()]
    kept = _reached(
        [name.split(":")[0] for name in wanted],
        lambda name: [
            reference.removeprefix("^").split(":")[0]
            for reference in nodes[name].input
        ],
    )
    _keep(graph.node, lambda node: node.name in kept)
    for node in graph.node:
        node.attr.pop("_output_shapes", None)
        node.attr.pop("debug_name", None)

    functions = {f.signature.name: f for f in graph.library.function}
    objects = meta.object_graph_def
    kept = _reached(
        [*objects.concrete_functions, *(c.name for c in _calls(graph.node))],
        lambda name: [c.name for c in _calls(functions[name].node_def)],
    )
    _keep(graph.library.function, lambda f: f.signature.name in kept)


def _merge(meta):
    """Keeps one of functions that are equal: signatures may have one body."""
    library, objects = meta.graph_def.library, meta.object_graph_def
    first, same = {}, {}
    for function in library.function:
        name = function.signature.name
        function.signature.name = ""
        body = function.SerializeToString(deterministic=True)
        function.signature.name = name
        # With its weights, where it has any of its own.
        bound = objects.concrete_functions.get(name)
        bound = tuple(bound.bound_inputs) if bound else None
        kept = first.setdefault((body, bound), name)
        if kept != name:
            same[name] = kept
    _keep(library.function, lambda f: f.signature.name not in same)
    for name in same:
        objects.concrete_functions.pop(name, None)
    for node in objects.nodes:
        if node.WhichOneof("kind") == "bare_concrete_function":
            bare = node.bare_concrete_function
            name = bare.concrete_function_name
            bare.concrete_function_name = same.get(name, name)
    for nodes in (meta.graph_def.node, *(f.node_def for f in library.function)):
        for called in _calls(nodes):
            called.name = same.get(called.name, called.name)


def _restore_directly(function):
    """Assigns what is read from a checkpoint without a copy in between."""
    nodes = function.node_def
    read = {node.name for node in nodes if node.op == "RestoreV2"}
    needed = {value.partition(":")[0] for value in function.ret.values()}
    needed |= {i.removeprefix("^") for node in nodes for i in node.input}
    copied = {
        node.name: node.input[0]
        for node in nodes
        if node.op == "Identity"
        and node.name not in needed
        and [i.partition(":")[0] in read for i in node.input] == [True]
    }
    _keep(nodes, lambda node: node.name not in copied)
    for node in nodes:
        for index, reference in enumerate(node.input):
            name = reference.partition(":")[0]
            node.input[index] = copied.get(name, reference)


def _reached(start, following):
    """All names that a function from a name to further names leads to."""
    reached, waiting = set(), list(start)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += following(name)
    return reached


def _calls(nodes):
    """Where nodes name the functions that they call."""
    return [
        called
        for node in nodes
        for value in node.attr.values()
        for called in (value.func, *value.list.func)
        if called.name
    ]


def _keep(messages, wanted):
    """Drops from a repeated field what is not wanted."""
    kept = [message for message in messages if wanted(message)]
    del messages[:]
    messages.extend(kept)


def _shorten(function):
    """Numbers the nodes of a function, and the weights that it is given."""
    signature = function.signature
    arguments = signature.input_arg
    taken = {a.name for a in arguments if a.type != types_pb2.DT_RESOURCE}
    short = {}

    def number(names, letter):
        for index, name in enumerate(names):
            new = f"{letter}{index}"
            while new in taken:
                new += "_"
            short[name] = new

    # What a caller names stays: weights are passed by position.
    weights = [i for i, a in enumerate(arguments) if a.name not in taken]
    number([arguments[index].name for index in weights], "w")
    number([node.name for node in function.node_def], "n")
    for index in weights:
        arguments[index].name = short[arguments[index].name]
    for index, argument in list(function.arg_attr.items()):
        argument.attr.pop("_output_shapes", None)
        # Constants that are passed along are called by a running number.
        named = argument.attr.get("_user_specified_name")
        if index in weights or (named and named.s.isdigit()):
            argument.attr.pop("_user_specified_name", None)
        if not argument.attr:
            del function.arg_attr[index]

    def renamed(reference):
        control = "^" if reference.startswith("^") else ""
        name, colon, output = reference.removeprefix("^").partition(":")
        return control + short.get(name, name) + colon + output

    for node in function.node_def:
        node.name = short[node.name]
        node.input[:] = [renamed(reference) for reference in node.input]
        for unread in _UNREAD:
            node.attr.pop(unread, None)
        node.ClearField("experimental_debug_info")
    for key in list(function.ret):
        function.ret[key] = renamed(function.ret[key])
    # What a call waits for has a name of its own: that of the node will do.
    awaited = sorted(short[name] for name in function.control_ret.values())
    function.control_ret.clear()
    function.control_ret.update({name: name for name in awaited})
    signature.control_output[:] = awaited
