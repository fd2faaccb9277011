"""The one place of the version: the package, `identity-service --version` and the API's description take it from here."""

VERSION = "0.1.0"
