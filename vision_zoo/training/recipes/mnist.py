"""Published experiments on MNIST."""

from vision_zoo.training.recipe import Recipe

RECIPES = (
    Recipe(
        name="simple_cnn-mnist",
        title="CNN against patch-LSTM: the CNN",
        report="A",
        reported={"test_accuracy": 0.9903, "train_seconds": 121.72, "inference_seconds": 1.75},
        architecture="simple_cnn",
        dataset="mnist",
        parameters=421_642,
        mean=(0.5,),
        std=(0.5,),
        epochs=10,
        batch_size=128,
        test_curve=True,
    ),
)
