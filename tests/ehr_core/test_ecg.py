import msgspec
from feldsher_ehr_core import ecg


def test_the_contracts_field_names_that_python_reserves_are_renamed() -> None:
    span = msgspec.json.decode(msgspec.json.encode(ecg.RhythmSpan(0, 5000, "SR")))
    segment = msgspec.json.decode(msgspec.json.encode(ecg.QualitySegment(0, 10, "all", False, ("noise",))))
    assert span == {"from": 0, "to": 5000, "code": "SR"}
    assert segment == {"from": 0, "to": 10, "lead": "all", "usable": False, "issues": ["noise"]}


def test_an_absent_wave_is_null_and_still_there() -> None:
    wave = msgspec.json.decode(msgspec.json.encode(ecg.Wave(0, "II", qrs_on=1, r=2, qrs_off=3)))
    assert wave["p_on"] is None
    assert list(wave) == [
        "beat",
        "lead",
        "p_on",
        "p_peak",
        "p_off",
        "qrs_on",
        "r",
        "qrs_off",
        "t_on",
        "t_peak",
        "t_off",
    ]


def test_twelve_standard_leads_in_the_order_of_the_paper() -> None:
    assert ecg.STANDARD_LEADS[:6] == ("I", "II", "III", "aVR", "aVL", "aVF")
    assert len(set(ecg.STANDARD_LEADS)) == 12


def test_an_age_in_days_alone_gives_the_years() -> None:
    assert ecg.Subject(age_days=800).whole().age == 2
    assert ecg.Subject(40).whole() == ecg.Subject(40)
    assert (ecg.Subject(3).days, ecg.Subject(0).days, ecg.Subject(age_days=5).days) == (1095, None, 5)


def test_what_is_as_by_default_is_left_out_of_a_subject_and_read_back() -> None:
    small = ecg.Subject(age_days=12, sex="male")
    data = msgspec.msgpack.encode(small)
    assert msgspec.msgpack.decode(data, type=ecg.Subject) == small
    assert b"pregnant" not in data
