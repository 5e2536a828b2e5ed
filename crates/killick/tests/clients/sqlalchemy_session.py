"""SQLAlchemy: schema, ORM, reflection, over psycopg and asyncpg. Prints the same with and without a gateway."""

import asyncio
import os
from datetime import datetime, timezone
from decimal import Decimal

from sqlalchemy import (JSON, ForeignKey, Index, LargeBinary, Numeric, String, create_engine, func, insert, inspect, select, text,
                        update)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert as pg_insert
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, joinedload, mapped_column, relationship, selectinload

URL = os.environ["DATABASE_URL"]


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "sa_author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    born: Mapped[datetime | None]
    books: Mapped[list["Book"]] = relationship(back_populates="author", cascade="all, delete-orphan")


class Book(Base):
    __tablename__ = "sa_book"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("sa_author.id", ondelete="CASCADE"))
    title: Mapped[str]
    price: Mapped[Decimal | None] = mapped_column(Numeric(10, 2))
    tags: Mapped[list[str] | None] = mapped_column(ARRAY(String))
    doc: Mapped[dict | None] = mapped_column(JSONB)
    note: Mapped[dict | None] = mapped_column(JSON)
    cover: Mapped[bytes | None] = mapped_column(LargeBinary)
    author: Mapped[Author] = relationship(back_populates="books")
    __table_args__ = (Index("sa_book_title", "title"),)


def run(engine):
    with engine.connect() as conn:
        print(conn.dialect.server_version_info[0], conn.scalar(text("SELECT 1")))
    Base.metadata.create_all(engine)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all(Author(name=f"author {n}", books=[
            Book(title=f"book {n}.{k}", price=Decimal(k) / 4, tags=["a", f"t{k}"], doc={"k": k}, note={"n": n}, cover=bytes([k]))
            for k in range(5)]) for n in range(10))
        session.commit()
        print(session.scalar(select(func.count()).select_from(Book)))
        for author in session.scalars(select(Author).options(selectinload(Author.books)).where(Author.id <= 2).order_by(Author.id)):
            print(author.name, [(it.title, it.price, it.tags, it.doc, it.note, it.cover) for it in author.books])
        one = session.scalars(select(Author).options(joinedload(Author.books)).where(Author.name == "author 3")).unique().one()
        one.books.pop()
        one.name = "renamed"
        session.flush()
        session.rollback()
        print(one.name, len(one.books))
        with session.begin_nested():
            session.add(Author(name="nested"))
        try:
            with session.begin_nested():
                session.add(Author(name="nested"))
                session.flush()
        except IntegrityError as error:
            print(type(error.orig).__name__)
        session.commit()
        session.delete(session.get(Author, 10))
        session.commit()
        print(session.scalar(select(func.count()).select_from(Book)))
        print(session.execute(update(Book).where(Book.author_id == 1).values(price=Book.price + 1)).rowcount)
        print(session.scalars(insert(Author).returning(Author.name), [{"name": f"bulk {n}"} for n in range(3)]).all())
        upsert = pg_insert(Author).values(name="bulk 0").on_conflict_do_nothing()
        print(session.execute(upsert).rowcount)
        session.commit()
        rows = session.execute(select(Book.title).order_by(Book.id).execution_options(yield_per=7))
        print(sum(1 for _ in rows))
        print(session.scalars(select(Author).where(Author.id == 1).with_for_update()).one().name)
        session.commit()
    seen = inspect(engine)
    print(sorted(it for it in seen.get_table_names() if it.startswith("sa_")))
    print([(it["name"], str(it["type"]), it["nullable"]) for it in seen.get_columns("sa_book")])
    print(seen.get_foreign_keys("sa_book")[0]["referred_table"], [it["name"] for it in seen.get_indexes("sa_book")],
          seen.get_unique_constraints("sa_author")[0]["column_names"])
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text("INSERT INTO sa_author (name) VALUES ('auto')"))
    with engine.connect().execution_options(isolation_level="SERIALIZABLE") as conn:
        print(conn.scalar(text("SHOW transaction_isolation")))
    try:
        with engine.begin() as conn:
            conn.execute(text("SELECT 1/0"))
    except DBAPIError as error:
        print(type(error.orig).__name__)
    Base.metadata.drop_all(engine)
    print(sorted(it for it in inspect(engine).get_table_names() if it.startswith("sa_")))
    engine.dispose()


async def run_async():
    engine = create_async_engine(URL.replace("postgres://", "postgresql+asyncpg://").replace("sslmode=", "ssl="), pool_size=3)
    async with engine.begin() as conn:
        await conn.run_sync(Base.metadata.create_all)
    async with async_sessionmaker(engine)() as session:
        session.add(Author(name="async", born=datetime(2000, 1, 1), books=[Book(title="one", tags=["x"], doc={"a": [1]})]))
        await session.commit()
        found = await session.scalars(select(Author).options(selectinload(Author.books)))
        print([(it.name, it.born, [book.doc for book in it.books]) for it in found])
        rows = await session.stream(select(Book.title))
        print([row.title async for row in rows])
        await session.commit()

    async def one(number):
        async with engine.connect() as conn:
            return await conn.scalar(select(number + 1))
    print(await asyncio.gather(*(one(n) for n in range(12))))
    async with engine.begin() as conn:
        await conn.run_sync(Base.metadata.drop_all)
    await engine.dispose()


print("== psycopg")
run(create_engine(URL.replace("postgres://", "postgresql+psycopg://"), pool_size=3))
print("== asyncpg")
asyncio.run(run_async())
