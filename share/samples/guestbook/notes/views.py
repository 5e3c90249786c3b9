import os

from django.http import HttpResponseRedirect
from django.shortcuts import render

from .models import Note


def index(request):
    if request.method == "POST":
        author, text = request.POST.get("author", "").strip()[:40], request.POST.get("text", "").strip()[:280]
        if author and text:
            Note.objects.create(author=author, text=text)
        return HttpResponseRedirect("/")
    return render(
        request,
        "notes/index.html",
        {"notes": Note.objects.order_by("-id")[:50], "release": os.environ.get("SLIPWAY_RELEASE", "?")},
    )
