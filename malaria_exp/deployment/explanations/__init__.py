"""Explaining scores: what methods of explanation are given, how their maps are drawn, and how the methods are checked."""
