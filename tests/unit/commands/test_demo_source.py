"""The demo's sources hold what scikit-learn bundles, and filling them twice changes nothing."""

def test_x(demo_sources):
    print(demo_sources)
