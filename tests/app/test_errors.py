from app import errors


def test_the_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    def rows(error: type[errors.ServiceError]) -> list[list[str]]:
        below = [row for child in error.__subclasses__() for row in rows(child)]
        return [[error.__name__, str(error.status), error.code], *below]

    tree = errors.__doc__.split("\n\n")[2]
    shown = [
        line.translate(str.maketrans("│├└─", "    ")).split()[:3] for line in tree.splitlines()
    ]
    assert [[name, status, code.rstrip(",")] for name, status, code in shown] == rows(
        errors.ServiceError
    )
