"""List the commands: `python -m mashjax`."""

import ast
import pathlib


def commands() -> dict[str, str]:
    """Name -> first line of its description, for every command in the package."""
    folder = pathlib.Path(__file__).parent
    found = {}
    for path in sorted(folder.glob("*.py")):
        source = path.read_text()
        if "cli.run(" in source and not path.stem.startswith("__") and path.stem != "cli":
            found[path.stem] = (ast.get_docstring(ast.parse(source)) or "").splitlines()[0]
    return found


if __name__ == "__main__":
    print("Commands; each explains its flags with --help:\n")
    for name, purpose in commands().items():
        print(f"  python -m mashjax.{name:<12} {purpose}")
