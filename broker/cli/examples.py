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
