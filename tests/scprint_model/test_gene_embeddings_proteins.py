"""FASTA files, the protein that stands for a gene, pieces and batches, and Ensembl's tree of files on a local server.

Sequences: UniProt (The UniProt Consortium, Nucleic Acids Research 2025), CC BY 4.0; headers in the form of each source.
"""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scprint_model.gene_embeddings.batches import batches, pieces
from scprint_model.gene_embeddings.fasta import LETTERS, read_fasta
from scprint_model.gene_embeddings.isoforms import choose_isoforms, read_canonical, read_genes
from scprint_model.genes import without_version

INS = (  # P01308
    "MALWMRLLPLLALLALWGPDPAAAFVNQHLCGSHLVEALYLVCGERGFFYTPKTRREAEDLQVGQVELGGGPGAGSLQPLALEGSLQKRGIVEQCCTSICSLYQLENYCN"
)
B2M = (  # P61769
    "MSRSVALAVLALLSLSGLEAIQRTPKIQVYSRHPAENGKSNFLNCYVSGFHPSDIEVDLLKNGERIEKVEHSDLSFSKDWSFYLLYYTEFTPTEKDEYACRVNHVTLSQPKIVKWDRDM"
)
GPX1 = (  # P07203, with a selenocysteine
    "MCAARLAAAAAAAQSVYAFSARPLAGGEPVSLGSLRGKVLLIENVASLUGTTVRDYTQMNELQRRLGPRGLVVLGFPCNQFGHQENAKNEEILNSLKYVRPGGGFEPNFMLFEKCEVNGA"
    "GAHPLFAFLREALPAPSDDATALMTDPKLITWSPVCRNDVAWNFEKFLVGPDGVPLRRYSRRFQTIDIEPDIEALLSQGPSCA"
)
ENSEMBL = f""">ENSP00000000003.1 pep chromosome:GRCh38:11:1:9:-1 gene:ENSG00000254647.7 transcript:ENST00000000003.1 \
gene_biotype:protein_coding transcript_biotype:nonsense_mediated_decay gene_symbol:INS description:insulin
{INS}{INS}
>ENSP00000370731.5 pep chromosome:GRCh38:11:1:9:-1 gene:ENSG00000254647.7 transcript:ENST00000381330.5 \
gene_biotype:protein_coding transcript_biotype:protein_coding gene_symbol:INS description:not gene:WRONG [Source:x]
{INS[:60]}
{INS[60:]}
>ENSP00000000004.1 pep chromosome:GRCh38:11:1:9:-1 gene:ENSG00000254647.7 transcript:ENST00000000004.2 \
gene_biotype:protein_coding transcript_biotype:protein_coding gene_symbol:INS
{INS[:90]}*

>ENSP00000407375.1 pep chromosome:GRCh38:3:1:9:-1 gene:ENSG00000233276.8 transcript:ENST00000419783.3 \
gene_biotype:protein_coding transcript_biotype:protein_coding gene_symbol:GPX1
{GPX1.lower()}
>ENSP00000000009.1 pep chromosome:GRCh38:14:1:9:1 gene:ENSG00000223997.1 transcript:ENST00000415118.1 \
gene_biotype:TR_D_gene transcript_biotype:TR_D_gene gene_symbol:TRDD1
EI
"""
LIST = "ENSG00000254647.7\tENST00000000004.2\tEnsembl Canonical\n"
UNIPROT = f""">sp|P01308-2|INS_HUMAN Isoform 2 of Insulin OS=Homo sapiens OX=9606 GN=INS
{INS}{INS}
>tr|A6XGL2|A6XGL2_HUMAN Insulin OS=Homo sapiens OX=9606 GN=INS PE=1 SV=1
{INS}A
>sp|P01308|INS_HUMAN Insulin OS=Homo sapiens OX=9606 GN=INS PE=1 SV=1
{INS}
>sp|P01326|INS2_MOUSE Insulin-2 OS=Mus musculus OX=10090 GN=Ins2 PE=1 SV=1
{INS[:50]}
>sp|P61769|B2MG_HUMAN Beta-2-microglobulin
{B2M}
"""


@pytest.fixture
def ensembl(tmp_path):
    path = tmp_path / "Homo_sapiens.GRCh38.pep.all.fa"
    path.write_text(ENSEMBL)
    return path


@pytest.fixture
def uniprot(tmp_path):
    path = tmp_path / "uniprot.fasta"
    path.write_text(UNIPROT)
    return path


def write(folder, text):
    path = folder / "x.fa"
    path.write_text(text)
    return path


def names(chosen):
    return {gene: protein.name for (gene, _), protein in chosen.items()}


def test_an_ensembl_file(ensembl):
    decayed, insulin, short, gpx, segment = read_fasta(ensembl)
    assert (insulin.name, insulin.gene, insulin.transcript) == ("ENSP00000370731", "ENSG00000254647", "ENST00000381330")
    assert (insulin.symbol, insulin.biotype, insulin.organism) == ("INS", "protein_coding", "")
    assert insulin.sequence == INS
    assert short.sequence == INS[:90]  # the stop at the end is no residue
    assert gpx.sequence == GPX1
    assert gpx.sequence[48] == "U"
    assert [p.preferred for p in (decayed, insulin, short, gpx, segment)] == [False, True, True, True, True]


def test_a_description_names_no_gene(tmp_path):
    (protein,) = read_fasta(write(tmp_path, ">P1 pep gene:ENSG00000254647.7 description:like gene_symbol:ABC\nMK\n"))
    assert (protein.gene, protein.symbol) == ("ENSG00000254647", "")


def test_a_uniprot_file(uniprot):
    isoform, unreviewed, insulin, mouse, b2m = read_fasta(uniprot)
    assert (insulin.name, insulin.gene, insulin.symbol, insulin.organism) == ("P01308", "INS", "INS", "NCBITaxon:9606")
    assert [p.preferred for p in (isoform, unreviewed, insulin)] == [False, False, True]
    assert (mouse.gene, mouse.organism) == ("Ins2", "NCBITaxon:10090")
    assert (b2m.name, b2m.gene, b2m.organism) == ("P61769", "", "")


def test_gzipped_whatever_the_name(ensembl, tmp_path):
    packed = tmp_path / "packed.fa"
    packed.write_bytes(gzip.compress(ENSEMBL.encode()))
    assert read_fasta(packed) == read_fasta(ensembl)
    packed.write_bytes(gzip.compress(ENSEMBL.encode())[:-20])
    with pytest.raises(ValueError, match="damaged or cut off"):
        read_fasta(packed)


def test_letters_that_are_no_amino_acids(tmp_path):
    (protein,) = read_fasta(write(tmp_path, ">p\nmk*-J.BZXUO*\n"))
    assert protein.sequence == "MKXXBZXUO"
    assert set(protein.sequence) <= LETTERS
    with pytest.raises(ValueError, match=r"sequence of p has \['1'\]"):
        read_fasta(write(tmp_path, ">p\nMK1\n"))
    assert [p.name for p in read_fasta(write(tmp_path, ">empty\n**\n>p\nMK\n"))] == ["p"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no sequences"),
        (">p\n\n", "holds no sequences"),
        ("MKV\n>p\nMK\n", "is no FASTA file: it begins with 'MKV'"),
        (">\nMK\n", "record without a name"),
        (">chr1\n" + "ACGT" * 300, "holds nucleotides"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_fasta(write(tmp_path, text))


def test_versions():
    assert without_version("ENSG00000182378.15_PAR_Y") == "ENSG00000182378"
    assert without_version("ENSMUSG00000000001.5") == "ENSMUSG00000000001"
    assert without_version("ENSGR0000182378.10") == "ENSG00000182378"  # Y's copy, GENCODE before 25
    assert without_version("Y74C9A.3") == "Y74C9A.3"  # a name of C. elegans that has a dot


def test_the_isoform_of_an_ensembl_gene(ensembl):
    proteins = read_fasta(ensembl)
    longest, counts = choose_isoforms(proteins, isoform="longest")
    assert names(longest)["ENSG00000254647"] == "ENSP00000370731"  # not the longer product of a transcript that decays
    assert list(longest) == [("ENSG00000223997", ""), ("ENSG00000233276", ""), ("ENSG00000254647", "")]
    assert counts == {"canonical": 0, "longest": 3, "first": 0, "without_gene": 0}
    first, _ = choose_isoforms(proteins, isoform="first")
    assert names(first)["ENSG00000254647"] == "ENSP00000000003"
    listed, counts = choose_isoforms(proteins, canonical={"ENST00000000004", "ENST00000999999"})
    assert names(listed)["ENSG00000254647"] == "ENSP00000000004"
    assert counts == {"canonical": 1, "longest": 2, "first": 0, "without_gene": 0}


def test_the_longest_where_no_list_is_given_is_told(ensembl, caplog):
    choose_isoforms(read_fasta(ensembl))
    assert "3 of 3 genes get their longest protein: no list of canonical transcripts is given" in caplog.text


def test_genes_of_one_biotype(ensembl):
    chosen, _ = choose_isoforms(read_fasta(ensembl), biotype="protein_coding")
    assert len(chosen) == 2
    with pytest.raises(ValueError, match=r"biotype 'lncRNA': the file has \['TR_D_gene', 'protein_coding'\]"):
        choose_isoforms(read_fasta(ensembl), biotype="lncRNA")


def test_the_isoform_of_a_uniprot_gene(uniprot):
    chosen, counts = choose_isoforms(read_fasta(uniprot))
    assert {key: protein.name for key, protein in chosen.items()} == {
        ("INS", "NCBITaxon:9606"): "P01308",
        ("Ins2", "NCBITaxon:10090"): "P01326",
    }
    assert counts["without_gene"] == 1


def test_a_table_says_which_genes_a_protein_stands_for(uniprot, tmp_path):
    table = tmp_path / "genes.tsv"
    table.write_text(
        "ensembl_id\tsymbol\tuniprot\nENSG1\tA\tP61769\nENSG00000166710.9\tB\tP61769\nENSG00000254647.9\tI\tP01308\n"
    )
    genes = read_genes(table)
    assert genes == {"P61769": ["ENSG1", "ENSG00000166710"], "P01308": ["ENSG00000254647"]}
    chosen, counts = choose_isoforms(read_fasta(uniprot), genes=genes)
    assert names(chosen) == {"ENSG00000254647": "P01308", "ENSG1": "P61769", "ENSG00000166710": "P61769"}
    assert counts["without_gene"] == 3
    with pytest.raises(ValueError, match="none of the 5 proteins"):
        choose_isoforms(read_fasta(uniprot), genes={"Q0": ["ENSG1"]})
    table.write_text("a\tb\n1\t2\n")
    with pytest.raises(ValueError, match="needs columns 'protein' and 'gene_id'"):
        read_genes(table)


def test_proteins_without_any_gene(tmp_path):
    with pytest.raises(ValueError, match="says its gene: headers need"):
        choose_isoforms(read_fasta(write(tmp_path, ">p1\nMK\n")))


def test_lists_of_canonical_transcripts(tmp_path):
    tsv = tmp_path / "x.canonical.tsv.gz"
    lines = ["ENSG1\tENST00000000001.4\tEnsembl Canonical", "ENSG1\tENST00000000002.1\tMANE Plus Clinical"]
    tsv.write_bytes(gzip.compress("\n".join(lines).encode()))
    assert read_canonical(tsv) == {"ENST00000000001"}
    plain = tmp_path / "list.txt"
    plain.write_text("# mine\nENST00000000001.4\n\nFBtr0070002\n")
    assert read_canonical(plain) == {"ENST00000000001", "FBtr0070002"}
    gtf = tmp_path / "x.gtf"
    line = '1\tx\ttranscript\t1\t9\t.\t+\t.\tgene_id "ENSG1"; transcript_id "{}"; tag "{}";\n'
    gtf.write_text(
        "#!x\n" + line.format("ENST00000000007", "Ensembl_canonical") + line.format("ENST00000000008", "basic")
    )
    assert read_canonical(gtf) == {"ENST00000000007"}
    plain.write_text("# nothing\n")
    with pytest.raises(ValueError, match="lists no canonical transcripts"):
        read_canonical(plain)


def test_pieces_by_hand():
    assert pieces([4, 5, 11], limit=5) == [(0, 0, 4), (1, 0, 5), (2, 0, 3), (2, 3, 7), (2, 7, 11)]
    assert pieces([4, 5, 11], limit=5, long="cut") == [(0, 0, 4), (1, 0, 5), (2, 0, 5)]
    with pytest.raises(ValueError, match="must be positive, it is 0"):
        pieces([4], limit=0)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=40), st.integers(1, 70), st.integers(3, 400))
def test_every_residue_is_read_once_and_no_batch_is_too_large(lengths, limit, tokens):
    items = pieces(lengths, limit)
    for i, length in enumerate(lengths):
        own = [item for item in items if item.sequence == i]
        assert [own[0].start, *(item.stop for item in own)] == [*(item.start for item in own), length]
        sizes = [item.stop - item.start for item in own]
        assert max(sizes) - min(sizes) <= 1
        assert max(sizes) <= limit
    seen = []
    for batch in batches(items, tokens):
        widths = [items[i].stop - items[i].start + 2 for i in batch]
        assert len(batch) == 1 or len(batch) * max(widths) <= tokens
        seen += batch
    assert sorted(seen) == list(range(len(items)))
