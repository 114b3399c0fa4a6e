"""One way from a name to an answer: joins the rooms above. Prints nothing, asks through `Ui`."""
