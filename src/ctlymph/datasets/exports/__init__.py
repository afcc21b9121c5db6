"""The collection in the forms that other programs read; each form is a file of its own over :mod:`prepared`."""
