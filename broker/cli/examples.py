"""Examples at the end of each `--help`. Only texts: this is loaded with the command line."""

SEARCH = """examples:
  broker search series Modality=CT 'BodyPartExamined=LUNG*' StudyDate=2010- --limit 20
  broker search studies 'StudyDescription~chest' --at idc --format csv > chest.csv
  broker explain series PatientName=SMITH* --at hospital
  broker archives

conditions:
  Modality=CT             a value             Modality=CT,MR            any of several
  BodyPartExamined=LUNG*  wildcards * and ?   StudyDate=2010-20151231   a range, either end open
  SeriesDescription~flair contains, any case  StudyDescription='""'     empty

exit codes:
  0 complete   2 bad query   3 some archive did not answer completely   4 none answered
  5 configuration or credentials unusable   130 interrupted
"""

COUNT = """examples:
  broker count Modality=CT 'BodyPartExamined=LUNG*'             patients, studies and series
  broker count series Modality=MR --by year,license --at idc
  broker facets studies Collection=nlst --at idc
  broker count studies PatientSex=F --at hospital,idc --exact   equal UIDs count once

facets:
  a DICOM keyword, or archive, collection, modality, bodypart, license, sex, manufacturer, year (of StudyDate)

Each number is exact, or says "at least" (an archive did not answer) or "at most" (archives counted by
themselves, and what they have in common, or count twice, is not known; --exact lists them). What an archive
counted by itself is taken at its word, and its report says "counted there"; --check lists it and compares.
"""

COHORTS = """examples:
  broker save lung-ct series Modality=CT 'BodyPartExamined=LUNG*' License=CC*
  broker rerun lung-ct
  broker diff lung-ct --since 2026-11
  broker manifest lung-ct --kind s5cmd

A cohort is a folder of plain JSON and Parquet (docs/cohorts.md). An archive that did not answer makes
its part of a comparison unknown; what it has is never taken for vanished.
"""

KINDS = ("csv", "s5cmd", "tcia", "dicomweb", "dimse", "xnat", "bibtex", "citations")

MANIFEST = """examples:
  broker manifest lung-ct --kind s5cmd -o lung.s5cmd           of a saved cohort
  broker manifest series Collection=rider_pilot --at idc       of a query: all copies, as CSV
  broker manifest lung-ct --kind bibtex

kinds:
  csv       every copy with size, licence, DOI        s5cmd  public buckets: s5cmd --no-sign-request run FILE
  tcia      NBIA Data Retriever                       dicomweb  WADO-RS URLs
  dimse     C-MOVE list; with -o FOLDER query files   xnat   URIs of sessions and scans
  bibtex, citations  whom to cite, by DOI

What a kind cannot hold is named on standard error (code 3). Sizes and licences are summed there too.
"""

GET = """examples:
  broker get lung-ct -o lung/                                   of a saved cohort
  broker get series Modality=CT StudyDate=2020- --at hospital -o ct/

Files are DIR/StudyInstanceUID/SeriesInstanceUID/SOPInstanceUID.dcm. Asked again, the command fetches only
what is missing; killed, it leaves no file that is not whole. An archive that fails is replaced by the next
copy. What cannot be fetched from here (public buckets, imported lists) stands in DIR/not-fetched.csv, and
what became of each series in DIR/report.json (docs/getting.md).

exit codes:
  0 every series complete   3 not every one   4 nothing came   5 DIR or configuration unusable
"""

CANDIDATES = """examples:
  broker candidates patients PatientName=SMITH* --at hospital,clinic
  broker candidates studies StudyDate=20200615 --at hospital,clinic --least 0.99

Needs the extra `candidates` (splink). A candidate is a suggestion with its reasons (docs/identity.md).
Whoever knows that two patients are one writes them into the federation's crosswalk.
"""

FORMS = ("croissant", "schemaorg", "dcat", "fhir")

DESCRIBE = """examples:
  broker describe lung-ct --as croissant -o lung-ct/           croissant.json, and the table it describes
  broker describe series Collection=rider_pilot --at idc --as schemaorg
  broker describe studies Collection=rider_pilot --at idc --as fhir -o studies.json

What no archive said is not made up. FHIR bundles hold no names of patients.
"""

COMPLETION = """once, in the shell's own start-up file:
  bash   echo 'source <(broker completion bash)' >> ~/.bashrc
  zsh    echo 'source <(broker completion zsh)' >> ~/.zshrc      (after compinit)
  fish   broker completion fish > ~/.config/fish/completions/broker.fish
"""

PROBE = """examples:
  broker probe hospital                ask it some 60 harmless questions: what it shows is kept as evidence
  broker matrix hospital --why         what was measured, beside what was said
  broker sync                          every archive whose last probe is older than a week
  broker sync hospital xnat --older-than 0
"""

ARCHIVES = """examples:
  broker archives                            all that are known, and their state
  broker archives --where public_api=yes     those of which this is known
  broker archives check                      ask each whether it is there
  broker archives check hospital --reset     although it is being left alone after failures
  broker archives add hospital --kind dicomweb --url https://pacs.example.org/dicom-web \\
      --auth kind=basic --auth username=alice --auth password=env:PACS_PASSWORD --set asked=true
"""

CATALOG = """examples:
  broker catalog import idaSearch.csv                       the kind is seen from the content
  broker catalog import scans/ --archive our-lab            a folder: DICOM, BIDS, sidecars, XML ...
  broker catalog import table.csv --archive nhanes --mapping nhanes.toml
  broker catalog list
  broker catalog show our-lab 2.25.1234                     a UID, key or PatientID: what is held, from where
  broker catalog remove our-lab --from scans/               what was imported from there, and nothing else
  broker catalog remove our-lab
"""
