"""The Python interface: the functions of `import vision_zoo`, with typed results.

Arguments are the commands' options, with the same defaults and the same checks; paths may be text. `progress=False`
keeps stderr quiet. Errors are those of `vision_zoo.core.errors`. Nothing heavy is imported before a function is called.
"""

from vision_zoo.api.auditing import Audit, audit
from vision_zoo.api.comparison import Comparison, compare
from vision_zoo.api.inference import Classifier, LabelProbability, LabelSet, evaluate, export_html, load
from vision_zoo.api.optimizing import optimize
from vision_zoo.api.runs import ExportedFile, FinishedRun, export, report, resume, train
from vision_zoo.api.sites import site

__all__ = [
    "Audit",
    "Classifier",
    "Comparison",
    "ExportedFile",
    "FinishedRun",
    "LabelProbability",
    "LabelSet",
    "audit",
    "compare",
    "evaluate",
    "export",
    "export_html",
    "load",
    "optimize",
    "report",
    "resume",
    "site",
    "train",
]
