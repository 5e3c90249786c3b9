from django.http import HttpResponse
from django.urls import path

from notes import views

urlpatterns = [
    path("", views.index),
    path("healthz", lambda request: HttpResponse("ok")),
]
