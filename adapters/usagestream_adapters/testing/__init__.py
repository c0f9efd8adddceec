"""Record a real exchange once, replay it for ever: safe defaults over pytest-recording and vcrpy.

Installed with `pip install "usagestream[testing]"`, this is a pytest plugin: a test marked
`@pytest.mark.vcr` records and replays without leaving a secret on the disk. What is imported for
that is imported when such a test runs, and not before.
"""
