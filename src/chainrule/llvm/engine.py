"""LLVM itself: from text to addresses of functions."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import llvmlite
import llvmlite.binding as llvm
from llvmlite.binding.newpassmanagers import NewPassManager

from chainrule.llvm import blas, cache
from chainrule.llvm.module import Module

LARGE_STRAIGHT = 6_000
"""Instructions of straight-line code from which LLVM spends no time on optimisation: its passes are quadratic."""

_LOCK = threading.RLock()
if hasattr(os, "register_at_fork"):  # the thread that holds it may be in the parent
    os.register_at_fork(after_in_child=lambda: globals().update(_LOCK=threading.RLock()))
_VECTOR_MARK = re.compile(r"#vec_(\w+)_(\d)#")


@dataclass(slots=True)
class Code:
    """Compiled functions; they live as long as this.

    Attributes:
        engine: LLVM's execution engine.
        texts: The LLVM IR.
        cached: Whether it came from the disk.
    """

    engine: Any
    texts: tuple[str, ...]
    cached: bool

    def address(self, name: str) -> int:
        """Return the address of a function."""
        return int(self.engine.get_function_address(name))

    def optimized(self) -> str:
        """Return the LLVM IR after LLVM's passes."""
        return "\n".join(str(_optimized(text)[0]) for text in self.texts)

    def assembly(self) -> str:
        """Return the machine code as text."""
        parts = []
        for text in self.texts:
            module, machine = _optimized(text)
            parts.append(machine.emit_assembly(module))
        return "\n".join(parts)


def compile_module(module: Module) -> Code:
    """Compile a module, or load it if the disk has it."""
    with _LOCK:
        _prepare()
        texts = tuple(_text(module, functions) for functions in (module.functions, module.straight) if functions)
        names = [cache.key(text, *_circumstances()) for text in texts]
        objects = [cache.load(name) for name in names]
        cached = all(code is not None for code in objects)
        backing = llvm.parse_assembly(f'target triple = "{llvm.get_process_triple()}"')
        engine = llvm.create_mcjit_compiler(backing, _machine(2))
        for text, name, code in zip(texts, names, objects, strict=True):
            if code is None:
                optimized, machine = _optimized(text)
                code = machine.emit_object(optimized)
                cache.save(name, code)
            engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        engine.finalize_object()
        return Code(engine, texts, cached)


def _optimized(text: str) -> tuple[Any, Any]:
    """Return a module after LLVM's passes, and the machine for which it is meant; effort falls with size."""
    module = llvm.parse_assembly(text)
    module.verify()
    straight = text.startswith("; straight")
    large = straight and text.count("\n") > LARGE_STRAIGHT
    machine = _machine(0 if large else 1 if straight else 3)
    if not large:
        options = llvm.create_pipeline_tuning_options(speed_level=1 if straight else 3)
        options.loop_vectorization = options.slp_vectorization = not straight
        builder = llvm.create_pass_builder(machine, options)
        manager = builder.getModulePassManager()
        manager.run(module, builder)
        NewPassManager._dispose(manager)  # llvmlite 0.50's own close() frees nothing: its first base class hides this
        manager.detach()
    return module, machine


@functools.cache
def _prepare() -> bool:
    """Make LLVM and the libraries ready; return whether glibc's vector functions are there."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    for name, address in blas.symbols().items():
        llvm.add_symbol(name, address)
    if platform.system() == "Linux" and platform.machine() == "x86_64":
        try:
            llvm.load_library_permanently("libmvec.so.1")
        except RuntimeError:
            return False
        return llvm.address_of_symbol("_ZGVdN4v_tanh") is not None
    return False


@contextlib.contextmanager
def blas_on_one_thread() -> Iterator[None]:
    """Let BLAS use no threads of its own meanwhile."""
    before = blas.set_threads(1)
    try:
        yield
    finally:
        if before > 1:
            blas.set_threads(before)


@functools.cache
def _circumstances() -> tuple[str, ...]:
    """Return what else machine code depends on."""
    version = ".".join(map(str, llvm.llvm_version_info))
    features = llvm.get_host_cpu_features().flatten()
    return llvmlite.__version__, version, llvm.get_process_triple(), llvm.get_host_cpu_name(), features


def _machine(effort: int) -> Any:
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=effort, jit=True
    )


def _text(module: Module, functions: Iterable[str]) -> str:
    """Return the text of some functions with what they need, such as vector versions of mathematical functions."""
    vectors = _prepare()
    body = "\n\n".join(functions)
    wanted = sorted(set(_VECTOR_MARK.findall(body)))
    groups, used, declared = [], [], set()
    mentioned = set(re.findall(r"@([\w.]+)", body))
    for line in module.declared:
        found = re.search(r"@([\w.]+)", line)
        if found is not None and found[1] in mentioned:
            declared.add(line)
    defined = set(re.findall(r"^define [^@]*@([\w.]+)", body, re.MULTILINE))
    declared |= {
        f"declare void @{name}(ptr)" for name in mentioned if name.startswith("straight") and name not in defined
    }
    for number, (symbol, arity) in enumerate(wanted, start=10):
        variants = []
        if vectors:
            kind = "float" if symbol.endswith("f") and symbol != "erf" else "double"
            for letter, width in (("b", 2), ("d", 4), ("e", 8)):
                lanes = width * (2 if kind == "float" else 1)
                name = f"_ZGV{letter}N{lanes}{'v' * int(arity)}_{symbol}"
                if llvm.address_of_symbol(name) is not None:
                    vector = f"<{lanes} x {kind}>"
                    declared.add(f"declare {vector} @{name}({', '.join([vector] * int(arity))}) #1")
                    variants.append(f"{name}({name})")
                    used.append(f"ptr @{name}")
        attribute = f'"vector-function-abi-variant"="{",".join(variants)}"' if variants else ""
        groups.append(f"attributes #{number} = {{ nounwind willreturn memory(none) {attribute} }}")
        body = body.replace(f"#vec_{symbol}_{arity}#", f"#{number}")
    kind = "; straight-line code" if functions is module.straight else "; loops"
    lines = [kind, f'target triple = "{llvm.get_process_triple()}"', *sorted(declared)]
    if used:
        lines.append(
            f'@llvm.compiler.used = appending global [{len(used)} x ptr] [{", ".join(used)}], section "llvm.metadata"'
        )
    groups += ["attributes #1 = { nounwind willreturn memory(none) }", "attributes #2 = { nounwind noinline }"]
    return "\n".join([*lines, "", body, "", *groups, ""])
