"""The public collection CT Lymph Nodes: what it holds, how to get it, check it, read it and hand it on."""
