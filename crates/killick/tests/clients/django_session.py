"""Django: its own migrations and an application's, forward and back, and the ORM. One file is the whole project."""

import os
import pathlib
import sys
import tempfile
from urllib.parse import urlsplit

from approving import approved

MODELS_1 = '''
from django.contrib.postgres.fields import ArrayField
from django.db import models

class Shop(models.Model):
    name = models.CharField(max_length=100, unique=True)

class Item(models.Model):
    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="items")
    title = models.TextField(db_index=True)
    price = models.DecimalField(max_digits=10, decimal_places=2)
    made = models.DateTimeField(auto_now_add=True)
    doc = models.JSONField(default=dict)
    raw = models.BinaryField(default=b"")
    tags = ArrayField(models.TextField(), default=list)
    code = models.UUIDField(null=True)
    span = models.DurationField(null=True)
'''
MODELS_2 = MODELS_1 + '''
    stock = models.PositiveIntegerField(default=0)
    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(price__gte=0), name="dj_price")]
        indexes = [models.Index(fields=["price", "title"], name="dj_price_title")]

class Label(models.Model):
    items = models.ManyToManyField(Item)
'''


def project(root):
    app = root / "app"
    app.mkdir()
    (app / "__init__.py").write_text("")
    (app / "migrations").mkdir()
    (app / "migrations" / "__init__.py").write_text("")
    return app


def configure(root):
    from django.conf import settings
    parts = urlsplit(os.environ["DATABASE_URL"])
    sys.path.insert(0, str(root))
    settings.configure(
        SECRET_KEY="practice", USE_TZ=True, DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "django.contrib.admin", "app"],
        DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": parts.path[1:], "USER": parts.username,
                               "PASSWORD": parts.password, "HOST": parts.hostname, "PORT": parts.port,
                               "OPTIONS": {"sslmode": "disable"}}},
        MIDDLEWARE=[], TEMPLATES=[])
    import django
    django.setup()


def use():
    from datetime import timedelta
    from decimal import Decimal
    from uuid import UUID

    from django.db import IntegrityError, connection, models, transaction

    from app.models import Item, Label, Shop
    shop = Shop.objects.create(name="corner")
    Item.objects.bulk_create([Item(shop=shop, title=f"item {n}", price=Decimal(n), doc={"n": n}, raw=bytes([n]), tags=["a", str(n)],
                                   code=UUID(int=n), span=timedelta(minutes=n)) for n in range(50)])
    print(Item.objects.count(), Item.objects.filter(doc__n__gte=45, tags__contains=["47"]).values_list("title", flat=True)[0])
    one = Item.objects.select_related("shop").get(code=UUID(int=3))
    print(one.shop.name, one.price, bytes(one.raw), one.span, one.tags)
    print(Item.objects.filter(price__lt=3).update(stock=models.F("stock") + 1), Item.objects.aggregate(models.Sum("price"), models.Max("stock")))
    print(sum(len(it.title) for it in Item.objects.iterator(chunk_size=10)))
    with transaction.atomic():
        try:
            with transaction.atomic():
                Shop.objects.create(name="corner")
        except IntegrityError as error:
            print(type(error.__cause__).__name__)
        print(Item.objects.select_for_update().filter(price=7).get().title)
    label = Label.objects.create()
    label.items.set(Item.objects.filter(price__lt=2))
    print(label.items.count(), Shop.objects.annotate(n=models.Count("items")).values_list("name", "n")[0])
    print(Item.objects.filter(price__gt=45).delete()[0], Shop.objects.get_or_create(name="corner")[1])
    print(Item.objects.update_or_create(title="item 1", defaults={"stock": 9, "shop": shop})[1])
    shop.delete()
    print(Item.objects.count())
    from django.contrib.auth.models import Permission, User
    user = User.objects.create_user("ann", "ann@example.com", "x")
    user.user_permissions.add(Permission.objects.order_by("id")[0])
    print(User.objects.filter(user_permissions__isnull=False).count(), user.delete()[0])
    print(sorted(it for it in connection.introspection.table_names() if it.startswith(("app_", "django_", "auth_"))))


with tempfile.TemporaryDirectory() as directory:
    root = pathlib.Path(directory)
    app = project(root)
    step = sys.argv[1] if len(sys.argv) > 1 else "1"
    (app / "models.py").write_text(MODELS_1 if step == "1" else MODELS_2)
    (app / "migrations" / "0001_initial.py").write_text(os.environ["FIRST_MIGRATION"]) if step == "2" else None
    configure(root)
    from django.core.management import call_command
    call_command("makemigrations", "app", verbosity=0)
    if step == "1":
        call_command("migrate", verbosity=1, no_color=True)
        import subprocess
        first = (app / "migrations" / "0001_initial.py").read_text()
        sys.stdout.flush()
        sys.exit(subprocess.run([sys.executable, __file__, "2"], env={**os.environ, "FIRST_MIGRATION": first}).returncode)
    call_command("migrate", verbosity=1, no_color=True)
    approved(call_command, "migrate", "app", "0001", verbosity=1, no_color=True)
    approved(call_command, "migrate", verbosity=1, no_color=True)
    use()
    call_command("showmigrations", "app", no_color=True)
    for name in ("app", "admin", "auth", "sessions", "contenttypes"):
        approved(call_command, "migrate", name, "zero", verbosity=1, no_color=True)
    from django.db import connection
    connection.cursor().execute("DROP TABLE django_migrations")
