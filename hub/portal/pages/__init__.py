"""The portal's pages, one file for each kind of reader."""
