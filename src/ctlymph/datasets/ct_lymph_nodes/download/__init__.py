"""Getting the collection: from the Imaging Data Commons, from TCIA's NBIA, by a manifest."""
