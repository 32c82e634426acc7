from tasks.seeding import derive_seed, rng_for


def test_a_seed_is_a_63_bit_digest_of_its_name() -> None:
    # First eight bytes of sha256("7/train/3"), shifted right by one.
    assert derive_seed(7, "train", 3) == int("2f6351e84d061f86", 16) >> 1
    assert 0 <= derive_seed(0) < 2**63


def test_names_give_independent_streams() -> None:
    assert derive_seed(1, "a") != derive_seed(1, "b") != derive_seed(2, "b")
    assert rng_for(1, "a").random() == rng_for(1, "a").random()
    assert rng_for(1, "a").random() != rng_for(1, "b").random()
