"""What else the answer could have been: bootstrap, sensitivity to labels, the multiverse of choices."""
