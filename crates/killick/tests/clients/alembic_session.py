"""Alembic: migrations up, down and up again, from scripts in a directory of their own."""

import os
import pathlib
import sys
import tempfile

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, inspect, text

from approving import approved

URL = os.environ["DATABASE_URL"].replace("postgres://", "postgresql+psycopg://")

ENV = '''
from alembic import context
from sqlalchemy import create_engine
import os
engine = create_engine(os.environ["DATABASE_URL"].replace("postgres://", "postgresql+psycopg://"))
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=None, version_table="al_version",
                      transaction_per_migration=os.environ.get("PER_MIGRATION") == "1")
    with context.begin_transaction():
        context.run_migrations()
'''

FIRST = '''
import sqlalchemy as sa
from alembic import op
revision, down_revision = "0001", None

def upgrade():
    op.create_table("al_team", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(50), nullable=False))
    op.create_table("al_player", sa.Column("id", sa.BigInteger, primary_key=True),
                    sa.Column("team_id", sa.Integer, sa.ForeignKey("al_team.id")), sa.Column("score", sa.Integer, server_default="0"))
    op.create_index("al_player_score", "al_player", ["score"])
    op.bulk_insert(sa.table("al_team", sa.column("id"), sa.column("name")), [{"id": n, "name": f"t{n}"} for n in range(20)])

def downgrade():
    op.drop_index("al_player_score")
    op.drop_table("al_player")
    op.drop_table("al_team")
'''

SECOND = '''
import sqlalchemy as sa
from alembic import op
revision, down_revision = "0002", "0001"

def upgrade():
    op.add_column("al_team", sa.Column("city", sa.Text))
    op.execute("UPDATE al_team SET city = 'c' || id WHERE city IS NULL")
    op.alter_column("al_team", "city", nullable=False)
    op.alter_column("al_player", "score", type_=sa.BigInteger)
    op.create_unique_constraint("al_team_name", "al_team", ["name"])
    op.create_check_constraint("al_score", "al_player", "score >= 0")
    mood = sa.Enum("sad", "glad", name="al_mood")
    mood.create(op.get_bind())
    op.add_column("al_player", sa.Column("mood", mood))
    with op.batch_alter_table("al_player") as batch:
        batch.alter_column("mood", new_column_name="feeling")
    op.execute("COMMENT ON TABLE al_team IS 'teams'")

def downgrade():
    op.drop_column("al_player", "feeling")
    op.execute("DROP TYPE al_mood")
    op.drop_constraint("al_score", "al_player")
    op.drop_constraint("al_team_name", "al_team")
    op.alter_column("al_player", "score", type_=sa.Integer)
    op.drop_column("al_team", "city")
'''


def state(note):
    engine = create_engine(URL)
    seen = inspect(engine)
    tables = sorted(it for it in seen.get_table_names() if it.startswith("al_"))
    columns = {it: [(c["name"], str(c["type"]), c["nullable"]) for c in seen.get_columns(it)] for it in tables}
    with engine.connect() as conn:
        version = [it[0] for it in conn.execute(text("SELECT version_num FROM al_version"))] if "al_version" in tables else None
        rows = conn.scalar(text("SELECT count(*) FROM al_team")) if "al_team" in tables else None
    print(note, version, rows, columns)
    engine.dispose()


with tempfile.TemporaryDirectory() as directory:
    root = pathlib.Path(directory)
    (root / "versions").mkdir()
    (root / "env.py").write_text(ENV)
    (root / "script.py.mako").write_text("")
    (root / "versions" / "0001_first.py").write_text(FIRST)
    (root / "versions" / "0002_second.py").write_text(SECOND)
    config = Config(stdout=sys.stdout)
    config.set_main_option("script_location", str(root))
    for per_migration in ("0", "1"):
        os.environ["PER_MIGRATION"] = per_migration
        for step, to in ((command.upgrade, "head"), (command.downgrade, "0001"), (command.upgrade, "0002"), (command.downgrade, "base")):
            approved(step, config, to)
            state(f"{step.__name__} {to}")
    command.upgrade(config, "0001")
    command.current(config)
    approved(command.downgrade, config, "base")
    engine = create_engine(URL)
    with engine.begin() as conn:
        conn.execute(text("DROP TABLE al_version"))
    engine.dispose()
