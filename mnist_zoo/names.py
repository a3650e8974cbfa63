"""The names of models that are no networks, for the rooms that only have to recognise them."""

# Classical models, fitted once on the pixels (mnist_zoo/classical).
ON_PIXELS = (
    *("decision_tree", "gradient_boosting", "knn", "linear_svm", "logistic", "naive_bayes", "random_forest", "svm_rbf"),
)
ON_FEATURES = ("cnn_svm",)  # fitted on the features of a network, which is trained first
CLASSICAL = (*ON_PIXELS, *ON_FEATURES)
