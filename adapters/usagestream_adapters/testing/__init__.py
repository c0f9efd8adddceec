"""The pytest plugin: record an exchange once, replay it for ever; no secret goes to the disk.

Installed with `pip install "usagestream[testing]"`, this is a pytest plugin: a test marked
`@pytest.mark.vcr` records and replays without leaving a secret on the disk. What is imported for
that is imported when such a test runs, and not before.
"""
