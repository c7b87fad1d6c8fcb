from django.db import migrations


def add(apps, schema_editor):
    apps.get_model("policies", "Switch").objects.get_or_create(scope="global")


class Migration(migrations.Migration):
    dependencies = [("policies", "0001_create_switch")]

    # Going back keeps the row: the migration before drops the table with it.
    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
