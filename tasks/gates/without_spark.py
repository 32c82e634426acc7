"""Great Expectations without Spark: import this before anything of the library.

Where Spark is installed, the library imports it, which takes seconds and warns about pandas. Our
gates look at frames of pandas alone, so it is told that there is none.
"""

import sys

_SPARK = "pyspark"

if _SPARK in sys.modules:
    import great_expectations.compatibility.pyspark
else:
    sys.modules[_SPARK] = None  # type: ignore[assignment]  # the import system's word for "none"
    try:
        import great_expectations.compatibility.pyspark  # noqa: F401
    finally:
        del sys.modules[_SPARK]
