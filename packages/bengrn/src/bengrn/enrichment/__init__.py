"""Whether a network's hubs, and the targets it gives each factor, are genes that biology would expect there."""

from bengrn.enrichment.combined import SETS, enrich
from bengrn.enrichment.hubs import RANKINGS
from bengrn.enrichment.result import Enrichment
from bengrn.enrichment.tf_targets import TargetTest, encode_targets

__all__ = ["RANKINGS", "SETS", "Enrichment", "TargetTest", "encode_targets", "enrich"]
