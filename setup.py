"""Build pynn._core. Each C file is compiled once, except kernels.c: once per instruction set of the target."""

import gzip
import os
import re
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from glob import glob
from pathlib import Path

import numpy
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist
from setuptools.errors import CompileError

VERSION = ".".join(re.findall(r"^#define PN_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)$", Path("csrc/pynn.h").read_text(), re.M))
ALL, *TARGETS = [line.split() for line in Path("csrc/flags").read_text().splitlines() if not line.startswith("#")]
FLAGS = [*ALL[1:], "-g0", *os.environ.get("PYNN_BUILD_FLAGS", "").split()]  # for development: -O1 halves the compile time
KERNELS = "csrc/core/kernels/kernels.c"


class BuildExt(build_ext):
    """Compile every file at the same time as the others, and kernels.c once per instruction set."""

    def build_extension(self, ext):
        if self.compiler.compiler_type != "unix":
            raise CompileError("pynn needs gcc or clang (on Windows: MinGW-w64), because its kernels use their vector extensions")
        sets = self.instruction_sets()
        only = os.environ.get("PYNN_BUILD_ISA")  # for development: a third of the compile time
        if only:
            if only not in sets:
                raise CompileError(f"PYNN_BUILD_ISA={only} is not an instruction set of this target; use one of {', '.join(sets)}")
            sets = {only: sets[only]}
            ext.define_macros.append(("PN_ISAS(ROW)", f"ROW({only},1)"))
        with ThreadPoolExecutor() as pool:
            kernels = [pool.submit(self.compile_kernels, ext, name, flags) for name, flags in sets.items()]  # longest first
            others = [pool.submit(self.compile_file, ext, source) for source in ext.sources]
            ext.extra_objects = [job.result() for job in [*kernels, *others]]
        ext.sources, ext.depends = [], ext.extra_objects  # all that remains is to link
        super().build_extension(ext)

    def instruction_sets(self):
        """Return the flags of each instruction set of the compiler's target, which may differ from the build machine."""
        probe = Path(self.build_temp, "target.c")
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.write_text("".join(f"#ifdef {macro}\npynn_has {name}\n#endif\n" for macro, name, *_ in TARGETS))
        answer = probe.with_suffix(".i")
        self.compiler.preprocess(str(probe), str(answer))
        found = re.findall(r"pynn_has (\w+)", answer.read_text())
        return {name: flags for _, name, *flags in TARGETS if name in found} or {"base": []}

    def compile_kernels(self, ext, name, flags):
        """Compile the kernels of one instruction set, and print a line when they are ready."""
        start = time.monotonic()
        try:
            object_file = self.compile_file(ext, KERNELS, Path("kernels", name), [("PN_ISA", name)], flags)
        except CompileError as error:
            raise CompileError(f"{KERNELS} did not compile for {name} with the flags {' '.join([*FLAGS, *flags])}: {error}") from error
        print(f"pynn: compiled the kernels for {name} in {time.monotonic() - start:.0f} s", flush=True)
        return object_file

    def compile_file(self, ext, source, directory="", macros=(), flags=()):
        """Compile one file; return its object."""
        [object_file] = self.compiler.compile(
            [source],
            output_dir=str(Path(self.build_temp, directory)),
            macros=[*ext.define_macros, *macros],
            include_dirs=ext.include_dirs,
            extra_postargs=[*FLAGS, *flags],
        )
        return object_file


class Sdist(sdist):
    """Make an archive whose bytes depend on the sources and SOURCE_DATE_EPOCH only."""

    def make_archive(self, base_name, format, root_dir=None, base_dir=None, owner=None, group=None):
        epoch = os.environ.get("SOURCE_DATE_EPOCH")
        if format != "gztar" or epoch is None:
            return super().make_archive(base_name, format, root_dir, base_dir, owner, group)

        def normalized(entry):
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime = int(epoch)
            entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
            return entry

        name = f"{base_name}.tar.gz"
        with (
            open(name, "wb") as file,
            gzip.GzipFile("", "wb", fileobj=file, mtime=int(epoch)) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            archive.add(base_dir, filter=normalized)  # tarfile adds a directory's entries in sorted order
        return name


setup(
    version=VERSION,
    cmdclass={"build_ext": BuildExt, "sdist": Sdist},
    ext_modules=[
        Extension(
            "pynn._core",
            sources=sorted({*glob("csrc/python/*.c"), *glob("csrc/core/*/*.c")} - {KERNELS}),
            depends=[KERNELS, "csrc/flags", *sorted(glob("csrc/**/*.h", recursive=True))],
            include_dirs=[numpy.get_include()],
            extra_compile_args=FLAGS,
            libraries=["m"],
            extra_link_args=["-pthread"],
        )
    ],
)
