"""A contract of import-linter: modules and names that begin with an underscore are imported by their own package alone."""

import re
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, output

NAMES = re.compile(r"import\s+\(?(.*)")


class PrivateImports(Contract):
    """Finds `from malaria_exp.a._b import c` outside of malaria_exp.a, and `from malaria_exp.a.b import _c` anywhere."""

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Returns what was found."""
        found = []
        for importer in sorted(graph.modules):
            for imported in sorted(graph.find_modules_directly_imported_by(importer)):
                *package, module = imported.split(".")
                foreign = module.startswith("_") and importer.split(".")[: len(package)] != package
                lines = [detail["line_contents"] for detail in graph.get_import_details(importer=importer, imported=imported)]
                names = [name for line in lines if (match := NAMES.search(line)) for name in re.findall(r"\w+", match[1])]
                private = any(name.startswith("_") and not name.startswith("__") and name != module for name in names)
                if foreign or private:
                    found += [f"{importer}: {line}" for line in lines]
        return ContractCheck(kept=not found, metadata={"found": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Prints what was found."""
        lines: Any = check.metadata["found"]
        for line in lines:
            output.print_error(line)
