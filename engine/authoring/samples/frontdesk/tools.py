"""The front desk's tools: a small invented town, the same answers every time. Replace them with your own systems."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

Answer = dict[str, object]


class Hotel(NamedTuple):
    """One house in one part of town."""

    name: str
    location: str
    price_range: str
    rating: int
    rooms: int


NOTES = {
    "Dr. Johnson": "one tablet with breakfast, and a visit again in two weeks",
    "Dr. Morgan": "two drops in each eye at bedtime for ten days",
    "Dr. Alexis": "a spoonful after every meal, kept in the refrigerator",
}
HOTELS = [
    Hotel("Shadyside Inn", "North", "Moderate", rating=4, rooms=6),
    Hotel("Shadyside Inn", "South", "Cheap", rating=3, rooms=0),
    Hotel("Hilton Hotel", "Center", "Expensive", rating=5, rooms=12),
    Hotel("Hilton Hotel", "East", "Moderate", rating=4, rooms=3),
    Hotel("Hyatt Hotel", "West", "Moderate", rating=3, rooms=4),
    Hotel("Hyatt Hotel", "North", "Expensive", rating=4, rooms=2),
    Hotel("Old Town Inn", "South", "Cheap", rating=2, rooms=9),
    Hotel("Old Town Inn", "East", "Cheap", rating=3, rooms=1),
]
TABLES = {"Cactus Club": 20, "Tamarind": 8, "Legume": 60, "Lucca": 12, "The Porch": 40}
CLOSED_PIN = "0000"
"""The bank of this town opens every account that is asked for with complete answers, but not with this PIN."""


def bank_sign_out() -> Answer:
    """Every caller begins as a stranger."""
    return {"authenticated": False}


def bank_check(full_name: str, account_number: str = "", pin: str = "", date_of_birth: str = "",
               mothers_maiden_name: str = "", pets_name: str = "") -> Answer:
    """The balance, for a name with account number and PIN, or with birthday and both security answers."""
    by_number = bool(account_number and pin and pin != CLOSED_PIN)
    by_answers = bool(date_of_birth and mothers_maiden_name and pets_name)
    if not full_name or not (by_number or by_answers):
        return {"status": "refused", "authenticated": False}
    return {"status": "found", "authenticated": True, "balance": 100 + _number(full_name) % 9_900}


def doctor_note(full_name: str, doctor: str) -> Answer:
    """What the doctor wrote down for the patient."""
    note = NOTES.get(doctor)
    return {"status": "found", "note": note} if note and full_name else {"status": "missing"}


def hotel_search(hotel: str = "", hotel_location: str = "", price_range: str = "", rating: float = 0) -> Answer:
    """The best-rated hotel that fits everything that was asked for."""
    fitting = [entry for entry in HOTELS
               if hotel in ("", entry.name) and hotel_location in ("", entry.location)
               and price_range in ("", entry.price_range) and entry.rating >= rating]
    if not fitting:
        return {"status": "missing"}
    best = max(fitting, key=lambda entry: (entry.rating, entry.name))
    return {"status": "found", "hotel": best.name, "location": best.location.lower(),
            "price_range": best.price_range.lower(), "rating": best.rating}


def hotel_check(hotel: str, date_from: str, date_to: str) -> Answer:
    """Whether a room is free; nothing is changed."""
    rooms = sum(entry.rooms for entry in HOTELS if entry.name == hotel)
    in_order = str(date_from) < str(date_to)
    return {"status": "available" if in_order and rooms else "unavailable"}


def hotel_book(full_name: str, hotel: str, date_from: str, date_to: str, special_request: str = "") -> Answer:
    """Books the room and gives the booking's code."""
    if hotel_check(hotel, date_from, date_to)["status"] != "available":
        return {"status": "failed"}
    number = _number(full_name, hotel, date_from, date_to, special_request) % 100_000
    return {"status": "booked", "code": f"H{number:05}"}


def table_check(restaurant: str, party_size: float) -> Answer:
    """Whether the party fits; nothing is changed."""
    return {"status": "available" if party_size <= TABLES.get(restaurant, 0) else "unavailable"}


def table_book(full_name: str, restaurant: str, table_time: str, party_size: float) -> Answer:
    """Books the table and gives the booking's code."""
    if table_check(restaurant, party_size)["status"] != "available":
        return {"status": "failed"}
    return {"status": "booked", "code": f"T{_number(full_name, restaurant, table_time, party_size) % 100_000:05}"}


def ride_status(full_name: str, ride_number: float) -> Answer:
    """Minutes until the driver arrives; rides beyond 1,000 are not in the book."""
    if not full_name or not 1 <= ride_number <= 1_000:
        return {"status": "missing"}
    return {"status": "found", "minutes": 2 + _number(ride_number) % 20}


def _number(*parts: object) -> int:
    """The same number for the same words, on every machine."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, parts)).lower().encode()).digest()[:4], "big")
