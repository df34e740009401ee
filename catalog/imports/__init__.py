"""What archives hand out as files, read into rows by DICOM keyword. One file per format."""
