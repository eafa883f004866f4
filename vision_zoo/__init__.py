"""vision-zoo: train small image classifiers, export verified ONNX files, measure and serve them.

    import vision_zoo as vz

    run = vz.train("simple_cnn-mnist_5k")
    model = vz.load(vz.export(run.path).path)
    best, *others = model.classify("digit.png")

Nothing heavy is imported before a function is called. Errors are those of `vision_zoo.core.errors`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vision_zoo.api import (
        Classifier,
        audit,
        compare,
        evaluate,
        export,
        export_html,
        load,
        optimize,
        report,
        resume,
        site,
        train,
    )

__all__ = [
    "Classifier",
    "__version__",
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
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from vision_zoo import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
