"""The folders here are strangers': some hold a conftest.py or a pytest.ini that wants to be read."""

collect_ignore_glob = ["*-*", "labs"]
