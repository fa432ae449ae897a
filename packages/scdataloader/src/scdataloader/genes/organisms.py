"""Organisms that Ensembl annotates: their NCBI taxon ids, the names people write for them, where Ensembl keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

Division = Literal["vertebrates", "metazoa", "plants", "fungi", "protists"]

#: Where to begin when no release is known; those of the other divisions are numbered on their own.
RELEASES: dict[str, int] = {"vertebrates": 112, "metazoa": 59, "plants": 59, "fungi": 59, "protists": 59}


@dataclass(frozen=True)
class Organism:
    """One organism.

    Attributes
    ----------
    taxon
        NCBI taxon id, such as ``"NCBITaxon:7955"``.
    species
        Ensembl's name, such as ``"danio_rerio"``.
    name
        Common English name.
    division
        Part of Ensembl that it is in; all but the vertebrates are on the server of Ensembl Genomes.
    others
        Further names and taxon ids (of the species, where Ensembl's is of a strain).
    """

    taxon: str
    species: str
    name: str
    division: Division = "vertebrates"
    others: tuple[str, ...] = ()

    @property
    def scientific(self) -> str:
        """Name of genus and species, such as ``"Danio rerio"``."""
        return self.species.replace("_", " ").capitalize()


#: Species names as in Ensembl 112 and Ensembl Genomes 59; ids of the NCBI taxonomy.
KNOWN: tuple[Organism, ...] = (
    Organism("NCBITaxon:9606", "homo_sapiens", "human"),
    Organism("NCBITaxon:10090", "mus_musculus", "mouse", others=("house mouse",)),
    Organism("NCBITaxon:10116", "rattus_norvegicus", "rat", others=("norway rat", "brown rat")),
    Organism("NCBITaxon:7955", "danio_rerio", "zebrafish"),
    Organism("NCBITaxon:9823", "sus_scrofa", "pig", others=("sus scrofa domesticus", "ncbitaxon:9825")),
    Organism("NCBITaxon:9913", "bos_taurus", "cow", others=("cattle",)),
    Organism("NCBITaxon:9031", "gallus_gallus", "chicken"),
    Organism("NCBITaxon:9544", "macaca_mulatta", "rhesus macaque", others=("macaque", "rhesus monkey")),
    Organism(
        "NCBITaxon:9541",
        "macaca_fascicularis",
        "crab-eating macaque",
        others=("cynomolgus macaque", "cynomolgus monkey", "long-tailed macaque"),
    ),
    Organism("NCBITaxon:9483", "callithrix_jacchus", "marmoset", others=("common marmoset",)),
    Organism("NCBITaxon:30608", "microcebus_murinus", "mouse lemur", others=("gray mouse lemur",)),
    Organism("NCBITaxon:9598", "pan_troglodytes", "chimpanzee"),
    Organism(
        "NCBITaxon:9595",
        "gorilla_gorilla",
        "gorilla",
        others=("gorilla gorilla gorilla", "western lowland gorilla", "ncbitaxon:9593"),
    ),
    Organism("NCBITaxon:9986", "oryctolagus_cuniculus", "rabbit"),
    Organism("NCBITaxon:9615", "canis_lupus_familiaris", "dog", others=("canis familiaris",)),
    Organism("NCBITaxon:9685", "felis_catus", "cat"),
    Organism("NCBITaxon:9796", "equus_caballus", "horse"),
    Organism("NCBITaxon:9940", "ovis_aries_rambouillet", "sheep", others=("ovis aries",)),
    Organism("NCBITaxon:9925", "capra_hircus", "goat"),
    Organism("NCBITaxon:9669", "mustela_putorius_furo", "ferret"),
    Organism("NCBITaxon:10141", "cavia_porcellus", "guinea pig"),
    Organism("NCBITaxon:10036", "mesocricetus_auratus", "golden hamster", others=("syrian hamster",)),
    Organism("NCBITaxon:13616", "monodelphis_domestica", "opossum", others=("gray short-tailed opossum",)),
    Organism("NCBITaxon:8364", "xenopus_tropicalis", "western clawed frog", others=("tropical clawed frog",)),
    Organism("NCBITaxon:8090", "oryzias_latipes", "medaka", others=("japanese medaka", "japanese rice fish")),
    Organism("NCBITaxon:7719", "ciona_intestinalis", "vase tunicate", others=("sea squirt",)),
    Organism("NCBITaxon:7227", "drosophila_melanogaster", "fruit fly", "metazoa", ("fly",)),
    Organism("NCBITaxon:6239", "caenorhabditis_elegans", "roundworm", "metazoa", ("worm", "c. elegans")),
    Organism("NCBITaxon:7165", "anopheles_gambiae", "malaria mosquito", "metazoa", ("african malaria mosquito",)),
    Organism("NCBITaxon:45351", "nematostella_vectensis", "starlet sea anemone", "metazoa"),
    Organism("NCBITaxon:7668", "strongylocentrotus_purpuratus", "purple sea urchin", "metazoa"),
    Organism("NCBITaxon:3702", "arabidopsis_thaliana", "thale cress", "plants", ("arabidopsis",)),
    Organism("NCBITaxon:39947", "oryza_sativa", "rice", "plants", ("oryza sativa japonica group", "ncbitaxon:4530")),
    Organism("NCBITaxon:4577", "zea_mays", "maize", "plants", ("corn",)),
    Organism("NCBITaxon:559292", "saccharomyces_cerevisiae", "baker's yeast", "fungi", ("yeast", "ncbitaxon:4932")),
    Organism("NCBITaxon:284812", "schizosaccharomyces_pombe", "fission yeast", "fungi", ("ncbitaxon:4896",)),
)


def plain_name(name: str) -> str:
    """Return a name as names are compared: lower case, blanks for underscores, a bare number as a taxon id."""
    plain = " ".join(str(name).lower().replace("_", " ").split())
    return f"ncbitaxon:{plain}" if plain.isdigit() else plain.replace("ncbitaxon ", "ncbitaxon:")


@cache
def _by_name() -> dict[str, Organism]:
    out: dict[str, Organism] = {}
    for organism in KNOWN:
        for name in (organism.taxon, organism.species, organism.name, *organism.others):
            out[plain_name(name)] = organism
    return out


def find(name: str) -> Organism | None:
    """Return the organism of a name, taxon id or Ensembl species name, None for one that is not in `KNOWN`."""
    return _by_name().get(plain_name(name))
