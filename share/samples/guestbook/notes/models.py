from django.db import models


class Note(models.Model):
    author = models.CharField(max_length=40)
    text = models.CharField(max_length=280)
    written = models.DateTimeField(auto_now_add=True)
