"""The web page: draw a digit or drop an image, and see the predictions of all models.

inputs       what a visitor gave, as an image
answers      what models say of an image
cards        that as HTML
explain      which parts of an image mattered
compare      accuracy and latency of all models
scatter      that as a plot
examples     pictures to begin with
draw, drop, compare_tab, widgets, page
             the layout, in Gradio; pad.js and page.js run in the browser
uploads      the files of the page
upload_form  a form of them, written to the disk while it arrives
events       what the page can be asked to do
streams      how many of its answers may be open at once
lean         Gradio without what the page does not use
gateway      what is let through to Gradio
login        the key, asked for at the page
mount        all of it as a part of the server
"""
