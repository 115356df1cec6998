"""Builds the C of the package (cpu_runtime/); everything else is in setup.cfg.

One shared library of the embedded runtime per ABI release, from one source, and the program that
calls the runtime's library. No Python header is included, so one wheel serves every Python 3.
"""

import copy
import shutil
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group

RUNTIME = Path("cpu_runtime")
#: What computes in a library -> the folder of that engine, and macros. Each has the front and the
#: engine that plays scripts, too.
FAMILIES = {"cpu": ("tiny", []), "llama": ("llama", [("RKLLM_LLAMA", "1")])}
#: ABI release -> the number that cpu_runtime/include/rkllm_cpu.h selects the layout by.
ABIS = {"1.1.4": 10104, "1.2.0": 10200, "1.2.1": 10201, "1.3.0": 10300}
#: The arguments of :func:`runtime_library`.
LIBRARIES = [(family, abi, number) for family in FAMILIES for abi, number in ABIS.items()]


def runtime_library(family: str, abi: str, number: int) -> Extension:
    """Describe librkllm-<family>-<abi>.so.

    Optional: a board with the vendor's library does without a C compiler. Choosing
    ``--library cpu`` where it was not built says what is missing.
    """
    engine, macros = FAMILIES[family]
    return Extension(
        f"rkllm_twisted.cpu.librkllm-{family}-{abi.replace('.', '_')}",  # a dotted name is a path
        sources=sorted(
            str(path)
            for folder in ("front", "scripted", engine)
            for path in (RUNTIME / "src" / folder).glob("*.c")
        ),
        depends=[
            str(RUNTIME / "exports.map"),
            *sorted(str(path) for path in RUNTIME.glob("[is]*/**/*.h")),
        ],
        include_dirs=[str(RUNTIME / "include"), str(RUNTIME / "src")],
        define_macros=[("RKLLM_ABI", str(number)), ("_GNU_SOURCE", "1"), *macros],
        extra_compile_args=[
            "-std=c11",
            "-O3",
            "-fvisibility=hidden",
            "-fPIC",
            "-pthread",
            "-ffp-contract=off",
            "-fno-trapping-math",
        ],
        extra_link_args=[
            "-pthread",
            "-s",
            f"-Wl,-soname,librkllm-{family}-{abi}.so",
            f"-Wl,--version-script={RUNTIME / 'exports.map'}",
        ],
        libraries=["m", "dl"],
        optional=True,
    )


def scripted_encoder() -> Extension:
    """Describe librknn-scripted.so: librknnrt's interface over a text file. Optional, too."""
    return Extension(
        "rkllm_twisted.cpu.librknn-scripted",
        sources=sorted(map(str, (RUNTIME / "src" / "rknn").glob("*.c"))),
        depends=[
            *(str(RUNTIME / name) for name in ("rknn_exports.map", "include/rknn_scripted.h")),
            str(RUNTIME / "src" / "rknn" / "script.h"),
        ],
        include_dirs=[str(RUNTIME / "include")],
        define_macros=[("_GNU_SOURCE", "1")],
        extra_compile_args=["-std=c11", "-O2", "-fvisibility=hidden", "-fPIC"],
        extra_link_args=[
            "-s",
            "-Wl,-soname,librknn-scripted.so",
            f"-Wl,--version-script={RUNTIME / 'rknn_exports.map'}",
        ],
        libraries=["m"],
        optional=True,
    )


#: The program of the runtime's process. Without a C compiler the one in Python does its work.
HOST = Extension(
    "rkllm_twisted.isolation.rkllm-host",
    sources=sorted(str(path) for path in (RUNTIME / "src" / "host").glob("*.c")),
    depends=sorted(str(path) for path in (RUNTIME / "src" / "host").glob("*.h")),
    define_macros=[("_GNU_SOURCE", "1")],
    extra_compile_args=["-std=c11", "-O2", "-fPIE", "-pthread"],
    extra_link_args=["-pie", "-pthread", "-s", "-Wl,-z,relro,-z,now,-z,noexecstack"],
    libraries=["dl"],
    optional=True,
)


class build_runtime(build_ext):
    """Names libraries and the program as what they are: no Python module suffix or function."""

    def finalize_options(self) -> None:
        """Compile several libraries at once."""
        super().finalize_options()
        self.parallel = self.parallel or True  # as many as there are processors

    def build_extension(self, ext: Extension) -> None:
        """Build one library: its object files have the names that the other libraries' have."""
        # No library depends on the Python: another environment takes those that are built.
        here = Path(self.get_ext_filename(ext.name))
        if self.editable_mode and not newer_group([*ext.sources, *ext.depends, "setup.py"], here):
            target = Path(self.get_ext_fullpath(ext.name))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(here, target)
            return
        own = copy.copy(self)
        own.build_temp = str(Path(self.build_temp) / ext.name)
        if ext.name == HOST.name:
            own.build_program(ext)
        else:
            build_ext.build_extension(own, ext)

    def build_program(self, ext: Extension) -> None:
        """Build a program of an extension's sources."""
        objects = self.compiler.compile(
            ext.sources,
            output_dir=self.build_temp,
            macros=ext.define_macros,
            extra_postargs=ext.extra_compile_args,
            depends=ext.depends,
        )
        path = Path(self.get_ext_fullpath(ext.name))
        path.parent.mkdir(parents=True, exist_ok=True)
        self.compiler.link_executable(
            objects,
            path.name,
            output_dir=str(path.parent),
            libraries=ext.libraries,
            extra_postargs=ext.extra_link_args,
        )

    def get_ext_filename(self, fullname: str) -> str:
        """The path of the library or the program for an extension's dotted name."""
        *packages, name = fullname.split(".")
        if HOST.name.endswith(f".{name}"):
            return "/".join([*packages, name])
        return "/".join([*packages, name.replace("_", ".") + ".so"])

    def get_export_symbols(self, ext: Extension) -> list[str]:
        """None: the source marks what it exports."""
        return []


class platform_wheel(bdist_wheel):
    """A wheel for this platform and any Python 3."""

    def finalize_options(self) -> None:
        """The package holds machine code."""
        super().finalize_options()
        self.root_is_pure = False

    def get_tag(self) -> tuple[str, str, str]:
        """No Python ABI: the libraries are loaded with ctypes."""
        return "py3", "none", super().get_tag()[2]


setup(
    ext_modules=[
        HOST,
        *(runtime_library(*each) for each in LIBRARIES),
        scripted_encoder(),
    ],
    cmdclass={"build_ext": build_runtime, "bdist_wheel": platform_wheel},
)
