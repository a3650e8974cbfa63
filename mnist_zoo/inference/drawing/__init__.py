"""The page on which users draw a digit: trained networks that run in the browser, in JavaScript of our own."""
