"""Methods that infer networks, one file each; found through :func:`bengrn.list_methods`."""
