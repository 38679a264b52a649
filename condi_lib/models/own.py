"""Networks of the user's own as teachers: "my_networks.py:build" or "package.module:function"."""

import ast
import importlib
import importlib.util
import os
import sys
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from condi_lib.models.inputs import DEFAULT, as_input, check_input


def is_own(name):
    """Whether the teacher's name is a Python file or module and a function in it, and not one of ours."""
    return isinstance(name, str) and ":" in name


def _parts(name):
    """(file or None, module or None, function); raises ValueError where the name is neither."""
    place, _, function = name.rpartition(":")
    if not place or not function.isidentifier():
        raise ValueError(f"teacher: {name!r}: expected my_networks.py:build or package.module:function")
    if place.endswith(".py") or "/" in place or "\\" in place:
        return Path(os.path.expanduser(place)), None, function
    return None, place, function


def network_source(name):
    """The Python file behind "my_networks.py:build" or "package.module:function"; None for networks of ours.

    None too for an installed module that is no Python file. Raises ValueError where there is no such file or module.
    """
    if not is_own(name):
        return None
    file, module, _ = _parts(name)
    if file is not None:
        if not file.is_file():
            raise ValueError(f"teacher: {name!r}: {file.absolute()} does not exist")
        return file
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError) as e:
        raise ValueError(f"teacher: {name!r}: {module} is not installed ({e})") from e
    if spec is None:
        hint = f"; a file goes by its ending, {module}.py" if Path(f"{module}.py").is_file() else ""
        raise ValueError(f"teacher: {name!r}: {module} is not installed{hint}")
    return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None


def network_sources(name):
    """The files behind a network of the user's own: its source, and the neighbours that it imports, in turn."""
    source, found = network_source(name), []
    todo = [source] if source else []
    while todo:
        file = todo.pop()
        if file in found:
            continue
        found.append(file)
        for node in ast.walk(ast.parse(file.read_bytes(), str(file))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or "", *(a.name for a in node.names)]
            near = (file.parent.joinpath(*n.split(".")) for n in names if n)
            todo += [f for n in near for f in (n.with_suffix(".py"), n / "__init__.py") if f.is_file()]
    return found


def check_own(name):
    """Raises ValueError where there is no such file, module or function, without running any of it."""
    source, (*_, function) = network_source(name), _parts(name)
    if source is None:
        return
    try:
        tree = ast.parse(source.read_bytes(), str(source))
    except (SyntaxError, ValueError) as e:
        line = f", line {e.lineno}" if getattr(e, "lineno", None) else ""
        raise ValueError(f"teacher: {name!r}: {source}{line} is no Python: {e}") from e
    functions = ast.FunctionDef | ast.ClassDef
    defined = [node.name for node in tree.body if isinstance(node, functions)]
    names = {node.name for node in ast.walk(tree) if isinstance(node, functions)}
    names |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {a.asname or a.name for node in ast.walk(tree) for a in getattr(node, "names", ()) if hasattr(a, "asname")}
    if not names & {function, "*", "__getattr__"}:
        raise ValueError(f"teacher: {source} has no function {function!r}; it has {', '.join(defined) or 'none'}")


@contextmanager
def _importable(folder):
    """Lets a file import its neighbours, as it could if it were run."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def build_own(name, num_classes):
    """The nn.Module that the named function returns for num_classes, which then gives logits [B, num_classes].

    A file is run anew at each call. What the network returns may be a tensor, a tuple that begins with one, or have
    `logits` (as attribute or key); its `input` may be what as_input takes. Raises ValueError, naming the function,
    where it fails or returns something else; the network raises it where it does not give [B, num_classes].
    """
    check_own(name)
    file, module, function = _parts(name)
    folder = file.absolute().parent if file is not None else Path.cwd()
    try:
        with _importable(folder):
            if file is not None:
                spec = importlib.util.spec_from_file_location(f"condi_own_{file.stem}", file)
                loaded = importlib.util.module_from_spec(spec)
                sys.modules[spec.name] = loaded  # dataclasses and pickle look for it
                spec.loader.exec_module(loaded)
            else:
                loaded = importlib.import_module(module)
            network = getattr(loaded, function)(num_classes)
    except (Exception, SystemExit) as e:  # whatever the user's code raises; a script may want arguments
        raise ValueError(f"teacher: {name}({num_classes}) fails: {type(e).__name__}: {e}") from e
    network = getattr(network, "_orig_mod", network)  # of torch.compile, which for_inference decides
    if isinstance(network, torch.jit.ScriptModule):
        raise ValueError(f"teacher: {name}({num_classes}) gives a TorchScript program, expected a module that calls it")
    if not isinstance(network, nn.Module):
        raise ValueError(f"teacher: {name}({num_classes}) gives {type(network).__name__}, expected an nn.Module")
    try:
        network.input = as_input(getattr(network, "input", DEFAULT))
    except (ValueError, AttributeError) as e:  # a property cannot be set
        raise ValueError(f"teacher: {name}: {e}") from e
    network.register_forward_pre_hook(_contiguous)
    network.register_forward_hook(_Logits(name, num_classes))
    if any(is_lazy(p) for p in network.parameters()):
        check_input(network, network.input.frames, network.input.size)  # makes them
    return network.float()


def _contiguous(network, args):
    """Code that calls view() expects this layout."""
    return tuple(x.contiguous() for x in args)


class _Logits:
    """A forward hook, so that keys and type of the network stay its own: its output -> logits [B, C]."""

    def __init__(self, name, num_classes):
        self.name, self.num_classes = name, num_classes

    def __call__(self, network, args, output):
        logits = output
        if isinstance(output, dict):
            logits = output.get("logits")
        elif not isinstance(output, torch.Tensor) and hasattr(output, "logits"):
            logits = output.logits
        elif isinstance(output, tuple | list) and output:
            logits = output[0]
        if not isinstance(logits, torch.Tensor):
            raise ValueError(
                f"teacher: {self.name} gives {type(output).__name__}, expected logits [B, {self.num_classes}]"
            )
        expected = (len(args[0]), self.num_classes)
        if tuple(logits.shape) != expected:
            raise ValueError(f"teacher: {self.name} gives {list(logits.shape)}, expected logits {list(expected)}")
        return logits
