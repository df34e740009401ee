"""Examples at the end of each `--help`. Only texts: this is loaded with the command line."""

COUNT = """examples:
  broker count Modality=CT 'BodyPartExamined=LUNG*'             patients, studies and series
  broker count series Modality=MR --by year,license --at idc
  broker facets studies Collection=nlst --at idc
  broker count studies PatientSex=F --at hospital,idc --exact   equal UIDs count once

facets:
  a DICOM keyword, or archive, collection, modality, bodypart, license, sex, manufacturer, year (of StudyDate)

Each number is exact, or says "at least" (an archive did not answer) or "at most" (archives counted by
themselves, and what they have in common is not known; --exact lists them).
"""

COHORTS = """examples:
  broker save lung-ct series Modality=CT 'BodyPartExamined=LUNG*' License=CC*
  broker rerun lung-ct
  broker diff lung-ct --since 2026-11
  broker manifest lung-ct --kind s5cmd

A cohort is a folder of plain JSON and Parquet (docs/cohorts.md). An archive that did not answer makes
its part of a comparison unknown; what it has is never taken for vanished.
"""
