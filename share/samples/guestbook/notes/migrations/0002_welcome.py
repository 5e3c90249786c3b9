from django.db import migrations


def welcome(apps, schema_editor):
    apps.get_model("notes", "Note").objects.create(author="Slipway", text="Your first deploy works. Write something!")


class Migration(migrations.Migration):
    dependencies = [("notes", "0001_initial")]
    operations = [migrations.RunPython(welcome, migrations.RunPython.noop)]
