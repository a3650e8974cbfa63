"""Using trained networks: predicting images (`predict_images`), digitising them, and exporting a network."""
