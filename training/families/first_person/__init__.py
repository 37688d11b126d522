"""`first_person`: a view through a still place, drawn from where one stands and looks."""
