"""What a code competition is given: wheels, weights, recipe and a notebook, ready to be uploaded; nothing runs here."""
