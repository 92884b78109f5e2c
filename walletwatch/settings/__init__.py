"""The configuration of a deployment: models, a loader that reports every error at once, conversions to the domain."""

from walletwatch.settings.amounts import AmountReader, Money
from walletwatch.settings.loading import RuleCheck, load, refreshed, stamps
from walletwatch.settings.problems import Fault, Problem, SettingsError
from walletwatch.settings.secrets import Secret, SecretMissing
from walletwatch.settings.settings import Settings
from walletwatch.settings.warnings import Review, review

__all__ = [
    "AmountReader",
    "Fault",
    "Money",
    "Problem",
    "Review",
    "RuleCheck",
    "Secret",
    "SecretMissing",
    "Settings",
    "SettingsError",
    "load",
    "refreshed",
    "review",
    "stamps",
]
