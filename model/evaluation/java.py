"""Find Java and the jars of `pycocoevalcap`, and run them.

Only the jars of that package are used, never its Python code, which leaves temporary files in its
folder and waits without a timeout.
"""

import importlib.util
import shutil
import subprocess
from pathlib import Path

__all__ = ["METEOR", "TOKENIZER", "JavaError", "command", "find", "run"]

TOKENIZER = ("tokenizer/stanford-corenlp-3.4.1.jar",)
METEOR = ("meteor/meteor-1.5.jar", "meteor/data/paraphrase-en.gz")


class JavaError(RuntimeError):
    """Java, or what it should run, is missing, failed or took too long."""


def find(files: tuple[str, ...]) -> tuple[Path, ...] | None:
    """Find `files` of the package `pycocoevalcap`; None if one, or Java itself, is missing.

    Args:
        files: paths inside the package, such as `TOKENIZER` and `METEOR`.
    """
    package = importlib.util.find_spec("pycocoevalcap")
    if shutil.which("java") is None or package is None:
        return None
    for folder in package.submodule_search_locations or ():
        paths = tuple(Path(folder) / file for file in files)
        if all(path.is_file() for path in paths):
            return paths
    return None


def command(files: tuple[str, ...], *, memory: str) -> tuple[str, ...]:
    """Build the start of a command line: Java with the first of `files` on its class path.

    Args:
        files: as in `find`.
        memory: the largest heap, as Java writes it: "512m", "2g".

    Raises:
        JavaError: Java or one of the files is missing.
    """
    java, paths = shutil.which("java"), find(files)
    if java is None or paths is None:
        raise JavaError(
            f"{files[0]} cannot be run: install Java and pycocoevalcap "
            "(`pip install -c constraints.txt -e '.[evaluation]'`), or ask for java=False"
        )
    # The serial collector starts no threads, which leaves the other cores free.
    options = (f"-Xmx{memory}", "-XX:+UseSerialGC", "-Dfile.encoding=UTF-8", "-Duser.language=en")
    return (java, *options, "-cp", str(paths[0]))


def run(arguments: tuple[str, ...], text: str, *, timeout: float) -> str:
    """Run a command on `text` and return what it prints, both in UTF-8.

    Args:
        arguments: the whole command line.
        text: its standard input.
        timeout: the longest it may take, in seconds.

    Raises:
        JavaError: it failed or took longer than `timeout`.
    """
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and every argument is our own
            arguments, input=text.encode(), capture_output=True, timeout=timeout, check=True
        )
    except subprocess.TimeoutExpired as error:
        raise JavaError(f"Java took longer than {timeout:.0f} s") from error
    except subprocess.CalledProcessError as error:
        message = error.stderr.decode(errors="replace").strip()[-500:]
        raise JavaError(f"Java ended with status {error.returncode}: {message}") from error
    return done.stdout.decode()
