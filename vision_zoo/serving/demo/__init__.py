"""The page: draw a digit or drop an image, and the whole zoo answers.

answers    what models say of an image
cards      that as HTML
explain    which parts of an image mattered
compare    accuracy and latency of all models
examples   pictures to begin with
page       the layout, in Gradio
"""
