"""Exports of custody vendors, read as approval acts with the grade of evidence that each deserves."""
